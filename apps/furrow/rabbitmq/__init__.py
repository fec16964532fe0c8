"""RabbitMQ: ``broker`` declares the queues and publishes, ``topology`` is that of a queue with partitions, ``wire`` the
format of a publish."""
