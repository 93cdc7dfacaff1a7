"""What survives a run: intents, what became of them, back-offs, idle times and the writer's lock.

The program is started by cron or a hook and may be killed at any moment. It writes what it is about to ask for
*before* it asks, so that the next run finds every machine: here, in the cloud's list, or in both.
"""
