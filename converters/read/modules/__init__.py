"""Reader of live torch modules: their wiring by one traced run, their neurons from the modules' own settings."""
