"""Alipay through QFPay, a provider plugin for paycore."""
