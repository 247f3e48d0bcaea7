"""`paycore smoke`: one payment of each account from creation to refund, another one closed, and nothing left behind."""
