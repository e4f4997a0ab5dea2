"""A workspace made, made ready to run, and fitted to the user's data, machine and hours."""
