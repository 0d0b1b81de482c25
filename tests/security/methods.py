"""The public methods by name, and the attribute of a test's caller that has the stub of each service."""

from gateway.services import DESCRIPTORS

METHODS = {method.name: method for service in DESCRIPTORS for method in service.methods}
STUB_OF = {
    "AgentService": "agents",
    "ApprovalService": "approvals",
    "AuditService": "audit",
    "EventService": "events",
    "RunService": "runs",
    "StateService": "state",
    "SystemService": "system",
    "TaskService": "tasks",
    "ToolService": "tools",
}
