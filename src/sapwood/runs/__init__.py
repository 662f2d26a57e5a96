"""Plans become executions: the local runner, actions, cycles, trace and the report page."""
