"""Reader of lava-dl's ``.net`` files: networks that SLAYER exported, integers already."""
