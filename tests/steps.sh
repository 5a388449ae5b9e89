# shellcheck shell=bash
# Sourced by tests/run.sh, .ci/run and the checks of deploy/: named steps, and a table of how they went.

summary=()
failures=0

# no_arguments "$@": for a script that takes none but --help, and has a function `usage`.
no_arguments() {
  case ${1:-} in
    '') ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
}

# step NAME COMMAND…: runs it and goes on if it fails. Its status is that of the command.
step() {
  local name=$1 started=$SECONDS status=0
  shift
  printf '\n==> %s\n' "$name"
  "$@" || status=$?
  if ((status == 0)); then
    summary+=("$(printf 'ok      %4d s  %s' $((SECONDS - started)) "$name")")
  else
    summary+=("$(printf 'FAILED  %4d s  %s (exit code %d)' $((SECONDS - started)) "$name" "$status")")
    failures=$((failures + 1))
  fi
  return "$status"
}

# skipped NAME REASON: a step that cannot be run here. Where SKIPPED_LIST names a file, a caller collects them there.
skipped() {
  printf '\n==> %s: skipped: %s\n' "$1" "$2"
  summary+=("$(printf 'skipped    -    %s: %s' "$1" "$2")")
  [ -z "${SKIPPED_LIST:-}" ] || printf '%s: %s\n' "$1" "$2" >>"$SKIPPED_LIST"
}

# finish TITLE: prints the table, and exits with 1 if anything failed.
finish() {
  printf '\n%s, after %d s:\n' "$1" "$SECONDS"
  printf '  %s\n' "${summary[@]}"
  ((failures == 0)) || exit 1
}
