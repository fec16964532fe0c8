"""Webhooks: events are sent to other programs by HTTP, signed and retried; each delivery is a job.

``deliveries``  which events go where, and the kind of job that sends one;
``posting``     one request: the signature, and where it may go.
"""
