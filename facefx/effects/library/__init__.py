"""Every module here is searched for effects when a name is first looked up; nothing else is registered."""
