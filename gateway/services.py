"""The public services that a gateway serves."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from ordinaut.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    approval_service_pb2,
    approval_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    project_service_pb2,
    project_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
    state_service_pb2,
    state_service_pb2_grpc,
    system_service_pb2,
    system_service_pb2_grpc,
    task_service_pb2,
    task_service_pb2_grpc,
    tool_service_pb2,
    tool_service_pb2_grpc,
)

Add = Callable[[Any, Any], None]
# By name: the descriptor and the generated function that adds a servicer to a server.
PUBLIC: dict[str, tuple[ServiceDescriptor, Add]] = {
    service.name: (service, add)
    for service, add in (
        (module.DESCRIPTOR.services_by_name[name], add)
        for module, name, add in (
            (agent_service_pb2, "AgentService", agent_service_pb2_grpc.add_AgentServiceServicer_to_server),
            (approval_service_pb2, "ApprovalService", approval_service_pb2_grpc.add_ApprovalServiceServicer_to_server),
            (audit_service_pb2, "AuditService", audit_service_pb2_grpc.add_AuditServiceServicer_to_server),
            (event_service_pb2, "EventService", event_service_pb2_grpc.add_EventServiceServicer_to_server),
            (project_service_pb2, "ProjectService", project_service_pb2_grpc.add_ProjectServiceServicer_to_server),
            (run_service_pb2, "RunService", run_service_pb2_grpc.add_RunServiceServicer_to_server),
            (state_service_pb2, "StateService", state_service_pb2_grpc.add_StateServiceServicer_to_server),
            (system_service_pb2, "SystemService", system_service_pb2_grpc.add_SystemServiceServicer_to_server),
            (task_service_pb2, "TaskService", task_service_pb2_grpc.add_TaskServiceServicer_to_server),
            (tool_service_pb2, "ToolService", tool_service_pb2_grpc.add_ToolServiceServicer_to_server),
        )
    )
}
DESCRIPTORS = [service for service, _ in PUBLIC.values()]
