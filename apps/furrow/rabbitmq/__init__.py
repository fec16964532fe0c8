"""RabbitMQ: queues, topology, the format of messages.

``broker`` declares the queues and publishes, ``topology`` is the exchange and queues of a queue with
partitions, ``wire`` the format of a publish.
"""
