#!/bin/sh
# The contract's tool chain: protos.sh generate DIR | check | format. buf comes from the project's virtual environment;
# protoc, its plugins and the google/api sources from the environment $GENERATOR, which make prepares.
set -eu

GENERATOR=${GENERATOR:-.venv-protos}
[ -x "$GENERATOR/bin/python" ] || {
  echo "protos.sh: there is no generator in $GENERATOR: run 'make protos'" >&2
  exit 2
}
PATH="$PWD/$GENERATOR/bin:$PATH"

# buf needs the google/api sources beside ours; the wheel of googleapis-common-protos carries them.
third_party() {
  google=$(python -c 'import google.api, pathlib; print(pathlib.Path(google.api.__path__[0]).parent)')
  mkdir -p protos/third_party/google/api protos/third_party/google/type
  for name in api/annotations api/client api/field_behavior api/http api/launch_stage api/resource type/interval; do
    cp "$google/$name.proto" "protos/third_party/google/$name.proto"
  done
}

protoc() { python -m grpc_tools.protoc -Iprotos -Iprotos/third_party "$@"; }

# Only services get a _grpc module; the public descriptors keep their comments.
generate() {
  out=$1
  third_party
  buf generate --output "$out" 2>&1 | grep -v '^Writing mypy to' || true
  protoc --grpc_python_out="$out" protos/ordinaut/v1/*_service.proto protos/ordinaut/internal/v1/*_service.proto
  protoc --include_imports --include_source_info --descriptor_set_out="$out/ordinaut/v1/descriptors.binpb" \
    protos/ordinaut/v1/*.proto
  for stub in "$out"/ordinaut/v1/*_pb2_grpc.pyi "$out"/ordinaut/internal/v1/*_pb2_grpc.pyi; do
    [ -f "${stub%i}" ] || rm -f "$stub"
  done
}

check() {
  third_party
  buf lint
  buf format --diff --exit-code --path protos/ordinaut
  fresh=$(mktemp -d)
  trap 'rm -rf "$fresh"' EXIT
  mkdir -p "$fresh/ordinaut/v1" "$fresh/ordinaut/internal/v1"
  generate "$fresh"
  for folder in ordinaut/v1 ordinaut/internal/v1; do
    diff -r -q -x __pycache__ -x __init__.py "$fresh/$folder" "$folder" || {
      echo "generated code is stale: run 'make protos'" >&2
      exit 1
    }
  done
}

case "${1:-}" in
  generate) generate "$2" ;;
  check) check ;;
  format)
    third_party
    buf format --write --path protos/ordinaut
    ;;
  *)
    echo "usage: protos.sh generate DIR | check | format" >&2
    exit 2
    ;;
esac
