"""Templates of agents: their versions, the trials of new ones, and the draw that routes a job to one."""
