"""Local services of the demo and the tests: an AWS emulator, NanoMDM, SCEP, and simulated devices."""
