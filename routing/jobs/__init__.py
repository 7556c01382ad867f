"""Jobs: accepted by the mailbox, published to a queue, claimed, and moved from state to state."""
