#!/bin/sh
# The contract's tool chain: protos.sh generate DIR | check | format | baseline. buf comes from the project's virtual
# environment; protoc, its plugins and the google/api sources from the environment $GENERATOR, which make prepares.
#
# protos/baseline.binpb is the agreed contract: an image of the public package ordinaut.v1, without comments. `check`
# refuses changes that break its wire format, its JSON, or the names in generated code. CHANGELOG.md holds the SHA-256 of
# the image, so that a replaced image without a changed line there is refused as well. `baseline` replaces both,
# in the commit that changes the contract. That is allowed until 0.1.0 is released; afterwards v1 only grows.
set -eu

BASELINE=protos/baseline.binpb
PUBLIC=protos/ordinaut/v1
GENERATOR=${GENERATOR:-.venv-protos}
[ -x "$GENERATOR/bin/python" ] || {
  echo "protos.sh: $GENERATOR has no generator: run 'make protos'" >&2
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

digest() { sha256sum "$BASELINE" | cut -d ' ' -f 1; }

compare_with_baseline() {
  grep -q "SHA-256 \`$(digest)\`" CHANGELOG.md || {
    echo "CHANGELOG.md does not name $BASELINE, whose SHA-256 is $(digest): replace both with 'make protos-baseline'" >&2
    exit 1
  }
  buf build --path "$PUBLIC" --output "$1/public.binpb"
  buf breaking "$1/public.binpb" --against "$BASELINE" --exclude-imports --config buf.yaml
}

replace_baseline() {
  grep -q '^## 0\.1\.0 – unreleased$' CHANGELOG.md || {
    echo "0.1.0 is released: the contract of v1 cannot be replaced" >&2
    exit 1
  }
  third_party
  buf build --path "$PUBLIC" --exclude-source-info --output "$BASELINE"
  sed -i "s/SHA-256 \`[0-9a-f]*\`/SHA-256 \`$(digest)\`/" CHANGELOG.md
}

check() {
  third_party
  buf lint
  buf format --diff --exit-code --path protos/ordinaut
  fresh=$(mktemp -d)
  trap 'rm -rf "$fresh"' EXIT
  compare_with_baseline "$fresh"
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
  baseline) replace_baseline ;;
  format)
    third_party
    buf format --write --path protos/ordinaut
    ;;
  *)
    echo "usage: protos.sh generate DIR | check | format | baseline" >&2
    exit 2
    ;;
esac
