#!/usr/bin/env bash
# Format, static analysis, shell scripts. The compiler's own warnings are errors in every build.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files --cached --others --exclude-standard '*.c' '*.h')
mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' '.ci/run')
clang-format --dry-run -Werror "${sources[@]}"
cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -j 2 -I. -Iinclude -Ibuild \
	--enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=unknownMacro \
	core confine netpolicy supervise cli examples
shellcheck -x "${scripts[@]}"
echo "lint: clean: ${#sources[@]} C files, ${#scripts[@]} scripts"
