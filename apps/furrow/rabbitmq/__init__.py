"""RabbitMQ: queues, topology, the format of messages.

``broker`` declares the queues and publishes, ``topology`` is that of a queue with partitions, ``wire`` the
format of a publish.
"""
