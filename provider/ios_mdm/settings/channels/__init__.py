"""The channels: each module has the settings of one kind of MDM server, and connects to it.

``ChannelSettings`` in ``ios_mdm.settings.distribution`` has one line for each module. Tests of a channel use the
conformance kit, ``tests/support/channel_kit``.
"""
