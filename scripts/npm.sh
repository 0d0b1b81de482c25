#!/bin/sh
# Builds the npm package from deploy/npm and the proto files: npm.sh FOLDER. The tarball is FOLDER/ordinaut-VERSION.tgz.
set -eu

folder=${1:?usage: npm.sh FOLDER}
mkdir -p "$folder"
content=$(mktemp -d)
trap 'rm -rf "$content"' EXIT
cp deploy/npm/* LICENSE "$content"
python -c 'import pathlib, sys; from ordinaut.proto_files import export; export(pathlib.Path(sys.argv[1]))' "$content/protos"
target=$(cd "$folder" && pwd)
(cd "$content" && npm pack --silent --ignore-scripts --pack-destination "$target")
