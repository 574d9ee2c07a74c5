"""Lava Processes for what lava-nc has no word for, each with a fixed-point model for the CPU.

A Lava user may import them: they connect like Lava's own LIF and Conv, and `Loihi2SimCfg(select_tag="fixed_pt")`
finds their models beside them. Registers, widths and order are those of `PyLifModelBitAcc`, whose code for u and v
they call. Call `spikeport.deploy.backends.lava.compatibility.prepare` before the first import of lava.

Each module has a folder to itself because Lava, looking for a Process's models, executes every file beside it.
"""
