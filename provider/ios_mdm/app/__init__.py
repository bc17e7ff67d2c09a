"""The use cases: what is done to pairs, profiles and files, whoever asks for it. No module here knows an adapter."""
