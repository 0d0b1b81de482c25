"""Limits and defaults on which several processes must agree. A limit of one process is defined in that process."""

# Runs
MAX_CHAIN_DEPTH = 8  # runs that may precede a run in a chain in which events or steps of runs start other runs
MAX_LIVE_RUNS = 5_000  # live runs of one task, or of one agent's runs without a task
MAX_RETRIES = 100  # automatic retries of one step or of one run; the first attempt is not counted
MAX_ERROR_CODE_LENGTH = 63  # characters of an error code
FINALLY_SECONDS = 60  # execution time of all steps of a pipeline's `finally` together
DEFAULT_OVERLAP_BUFFER = 100  # runs that wait for the current one under overlap policy BUFFER_ALL

# Schedules
FIRST_YEAR = 1970  # of any instant of a schedule
LAST_YEAR = 2200
MAX_UPCOMING = 1000  # future occurrences in one response

# JSON values: event data, state, step outputs, results of templates and expressions
MAX_JSON_BYTES = 1024 * 1024  # bytes of one value
MAX_JSON_DEPTH = 64  # nested objects and arrays of one value
EXACT_INTEGER = 2**53  # from this absolute value on, a double no longer represents every integer

# Messages
MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # bytes of one request to the gateway, over gRPC or REST
MAX_DOCUMENT_BYTES = 1024 * 1024  # bytes of one YAML document, or of one file that the command line reads
MAX_MESSAGE_DEPTH = 99  # nested protobuf messages; parsers refuse 100. A JSON object takes three levels, an array two
MAX_INTERNAL_MESSAGE_BYTES = 64 * 1024 * 1024  # bytes of one message between services
MAX_STEP_OUTPUTS_BYTES = MAX_INTERNAL_MESSAGE_BYTES // 2  # JSON bytes of all step outputs of one run
FRAME_BYTES = 4 * 1024 * 1024  # bytes after which a frame between worker and engine is sent
MAX_PAGE_SIZE = 1000  # elements of one page of a list

# Default ports
GRPC_PORT = 50051  # public gRPC API
REST_PORT = 8080  # public REST API
SCHEDULER_PORT = 50052
ENGINE_PORT = 50053
WORKER_PORT = 50054
METRICS_PORTS = {"gateway": 9464, "scheduler": 9465, "pipeline_engine": 9466, "worker": 9467}
