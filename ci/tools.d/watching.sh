# shellcheck shell=bash disable=SC2154 # ci/tools sets what is not set here
# What looks into running tests: debuggers, valgrind, coverage, sanitizers.

# ---- gdb and strace

tool_gdb() {
    need gdb gdb
    build_plainly
    gdb_follows "$bodies"
    gdb_attaches "$bodies"
    [ "$(id -u)" = 0 ] || return 0
    need setpriv util-linux
    make_home
    cp "$bodies" "$scratch/program"
    chmod 755 "$scratch/program"
    gdb_follows "${as_user[@]}" "$scratch/program"
    gdb_attaches "${as_user[@]}" "$scratch/program"
}

gdb=(gdb -nx -batch -iex 'set debuginfod enabled off' -iex 'set auto-load no')

# The program is the last argument. The arguments before it are a command that runs gdb as another user.
gdb_follows() {
    passes "${@:1:$#-1}" "${gdb[@]}" -ex 'set follow-fork-mode child' -ex 'break tools_fixture::only_in_a_body' \
        -ex run -ex 'print number' -ex backtrace -ex finish -ex continue \
        --args "${@: -1}" --exact good::port_80
    says 'hit Breakpoint 1, .*only_in_a_body'
    says '^[$]1 = 21$'
    says 'bodies::good::port_80::port_80 \(\)'
    says '^Value returned is [$]2 = 42$'
    verdict ok good::port_80
}

# Attaches to a body that waits to be let go.
gdb_attaches() {
    local runner body
    if [ "$(id -u)" != 0 ] && [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" != 0 ]; then
        say "gdb: an ordinary user may not attach here (kernel.yama.ptrace_scope); not tried"
        return
    fi
    "$@" --exact debug::waits_for_a_debugger >"$scratch/waits" 2>&1 </dev/null &
    runner=$!
    body=$(waiting_body "$runner") || wrong "no body came to wait"
    # Without a sysroot gdb would look for files in the mount namespace of the body, which it
    # may not enter.
    passes "${@:1:$#-1}" "${gdb[@]}" -iex 'set sysroot /' -p "$body" "${@: -1}" \
        -ex 'thread apply all backtrace' -ex 'set {char} &GO_ON = 1' -ex detach
    says 'bodies::debug::waits_for_a_debugger::waits_for_a_debugger'
    wait "$runner" || wrong "the test failed: $(cat "$scratch/waits")"
}

# The body below the process $1, once its test's thread is there.
waiting_body() {
    local deadline=$((SECONDS + 20)) body
    while [ "$SECONDS" -lt "$deadline" ]; do
        for body in $(descendants "$1"); do
            [ "$(cat "/proc/$body/comm")" != netns-test ] || continue
            # The runner has a thread of that name too.
            [ "$body" != "$1" ] || continue
            if grep -qs '^debug::waits_fo' "/proc/$body"/task/*/comm; then
                echo "$body"
                return
            fi
        done
        sleep 0.05
    done
    return 1
}

descendants() {
    local child
    for child in $(pgrep -P "$1"); do
        echo "$child"
        descendants "$child"
    done
}

tool_strace() {
    need strace strace
    build_plainly
    local trace=(strace -f -e 'trace=bind,connect' -o "$scratch/trace")
    passes "${trace[@]}" "$bodies" --exact good::port_80
    verdict ok good::port_80
    local port='sin_port=htons\(80\), sin_addr=inet_addr\("127\.0\.0\.1"\)'
    grep -qE "^[0-9]+ +bind\(.*$port.* = 0" "$scratch/trace" || wrong "no bind in the trace"
    grep -qE "^[0-9]+ +connect\(.*$port.* = 0" "$scratch/trace" || wrong "no connect in the trace"
    passes "${trace[@]}" "$bodies" --exact plain
    ! grep -qE "$port" "$scratch/trace" || wrong "an ordinary test bound port 80"
}

# ---- valgrind

tool_valgrind() {
    need valgrind valgrind
    build_plainly
    # All in one run, which costs less than several.
    fails valgrind -q --vgdb=no --error-exitcode=99 --trace-children=yes --leak-check=full \
        --show-leak-kinds=definite --errors-for-leak-kinds=definite \
        "$bodies" --test-threads=4 plain good:: bad::exits planted::leak planted::use_after_free
    verdict ok plain
    all_good
    verdict FAILED bad::exits planted::leak planted::use_after_free
    says '^==[0-9]+== Invalid read of size 1'
    says '^==[0-9]+== 4,321 bytes in 1 blocks are definitely lost'
    says 'tools_fixture::planted_use_after_free'
    says "^netns-test: the test's process exited with status 99 "
}

# ---- coverage

tool_coverage() {
    need_llvm_tools
    need_llvm_cov
    local tests=(--offline --test bodies)
    covers "${tests[@]}" -- good:: plain
    counted 1 only_in_a_body
    counted 1 only_in_the_runner
    counted 0 never_called
    covers "${tests[@]}" -- plain
    counted 0 only_in_a_body
    counted 1 only_in_the_runner
    # Bodies that panic and that exit.
    covers "${tests[@]}" --ignore-run-fail -- bad::
    counted 1 outer_frame
    counted 1 only_in_a_body
    if command -v cargo-nextest >/dev/null; then
        covers nextest "${tests[@]}" -E 'test(/^good::/) | test(plain)'
        counted 1 only_in_a_body
        counted 1 only_in_the_runner
        counted 0 never_called
    else
        say "coverage: under nextest not tried: cargo-nextest is not installed"
    fi
}

# Sets LLVM_COV and LLVM_PROFDATA, which must be of the compiler's own LLVM.
need_llvm_tools() {
    local major directory sysroot
    [ -z "${LLVM_COV:-}" ] || [ -z "${LLVM_PROFDATA:-}" ] || return 0
    major=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    sysroot=$(rustc --print sysroot)/lib/rustlib/$host/bin
    [ -x "$sysroot/llvm-profdata" ] || [ -x "/usr/lib/llvm-$major/bin/llvm-profdata" ] ||
        apt_install "llvm-$major" ||
        leave_out "no llvm-tools of LLVM $major (rustup component add llvm-tools; Debian: llvm-$major)"
    for directory in "$sysroot" "/usr/lib/llvm-$major/bin"; do
        if [ -x "$directory/llvm-profdata" ]; then
            export LLVM_COV=$directory/llvm-cov LLVM_PROFDATA=$directory/llvm-profdata
            return
        fi
    done
    leave_out "llvm-$major has no llvm-profdata"
}

need_llvm_cov() {
    ! command -v cargo-llvm-cov >/dev/null || return 0
    export PATH="$work/cargo/bin:$PATH"
    ! command -v cargo-llvm-cov >/dev/null || return 0
    say "coverage: installing cargo-llvm-cov"
    # Outside of the crate, whose compiler version does not matter here.
    (cd / && cargo install --quiet --locked --debug --root "$work/cargo" cargo-llvm-cov) >"$log" 2>&1 ||
        leave_out "cargo-llvm-cov is not installed, and cargo install did not do it: $(tail -n 1 "$log")"
}

# Arguments of cargo llvm-cov. What was counted is then in $scratch/lcov.
covers() {
    rm -f "$scratch/lcov"
    passes env "CARGO_LLVM_COV_TARGET_DIR=$work/coverage" \
        cargo llvm-cov --lcov --output-path "$scratch/lcov" "$@"
}

# How often a function was called: `counted TIMES FUNCTION`.
counted() {
    grep -qE "^FNDA:$1,.*[0-9]$2\$" "$scratch/lcov" ||
        wrong "$2 is not counted $1 times: $(grep "$2" "$scratch/lcov")"
}

# ---- sanitizers: only the nightly compiler has them

# For an explicit target, so that macros are compiled without: `build_sanitized NAME [OPTION]`.
build_sanitized() {
    has_nightly || leave_out "no nightly toolchain"
    build env "RUSTFLAGS=-Zsanitizer=$1 ${2:-}" cargo +nightly test --offline --target "$host" \
        --test bodies --no-run
}

# Runs tests that pass, then `planted::$1`, which must fail; and the other names pass too.
finds() {
    local planted=planted::$1
    shift
    passes "$bodies" --test-threads=4 plain good:: should_panic:: "$@"
    all_good
    verdict ok plain should_panic::in_a_body "$@"
    fails "$bodies" --exact "$planted"
    verdict FAILED "$planted"
}

tool_asan() {
    build_sanitized address
    finds use_after_free planted::race
    says 'ERROR: AddressSanitizer: heap-use-after-free'
    says "^netns-test: the test's process exited with status 1 before the test had ended"
    finds leak
    says 'Direct leak of 4321 byte'
}

tool_lsan() {
    build_sanitized leak
    finds leak planted::race
    says 'ERROR: LeakSanitizer: detected memory leaks'
    says 'Direct leak of 4321 byte'
    says "^netns-test: the test's process exited with status 23 while it exited, after the test had ended"
}

tool_tsan() {
    has_nightly || leave_out "no nightly toolchain"
    if [ -d "$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library" ]; then
        # Not offline: the standard library has dependencies of its own.
        build env RUSTFLAGS=-Zsanitizer=thread cargo +nightly test -Zbuild-std --target "$host" \
            --test bodies --no-run
        finds race
        says 'WARNING: ThreadSanitizer: data race'
        return
    fi
    # The standard library that comes with the compiler is not instrumented: its locks and
    # channels are not seen, so libtest and tokio seem to race.
    build_sanitized thread -Cunsafe-allow-abi-mismatch=sanitizer
    printf '%s\n' 'race:^test::' 'race:test::event' 'race:test::run_test' >"$scratch/suppressions"
    export TSAN_OPTIONS="suppressions=$scratch/suppressions"
    passes "$bodies" --test-threads=4 --skip port_80_too plain good:: should_panic::
    verdict ok plain should_panic::in_a_body good::port_80 good::constructor_has_run_once
    fails "$bodies" --exact planted::race
    verdict FAILED planted::race
    says 'WARNING: ThreadSanitizer: data race'
    says "^netns-test: the test's process exited with status 66 while it exited, after the test had ended"
    leave_out "the nightly toolchain has no rust-src to instrument the standard library; plain threads were tried"
}
