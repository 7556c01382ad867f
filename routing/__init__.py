"""Floor 1: where work goes. Issues and forges, templates and trials, the draw, the mailbox, the queues."""
