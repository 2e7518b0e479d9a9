"""What is deployed: each file binds what the package holds to the names that a command line gives."""
