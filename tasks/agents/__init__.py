"""Running agents: everything between a claimed job and its report.

`runner` is the way in: it runs one attempt at a job. An *agent* is a name with a role, a life and mail
(`agent_record`, `agent_registry`). Its *session* is its conversation across *turns*, and a turn is one
process of a *runtime* in a job's work tree (`repository/`). What an attempt means for the job is decided in
`tasks/work`.
"""
