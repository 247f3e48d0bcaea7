"""PayPal Orders v2, a provider plugin for paycore."""
