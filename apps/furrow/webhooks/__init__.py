"""Webhooks: events are sent to other programs by HTTP, signed and retried; each delivery is a job.

``deliveries``  which events go where, and the kind of job that sends one;
``listeners``   who gets an event: subscribers and webhooks;
``posting``     one request: the signature, and where it may go.
"""
