"""What the commands about sandboxes share: finding one, its account in a configuration, calls of its controls."""
