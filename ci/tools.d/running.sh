# shellcheck shell=bash disable=SC2154 # ci/tools sets what is not set here
# How tests are started and shown: nextest, doctests, backtraces, runners, Miri.

tool_nextest() {
    command -v cargo-nextest >/dev/null ||
        leave_out "cargo-nextest is not installed; see https://nexte.st"
    reporting=(--color never --status-level all --final-status-level none --success-output never)
    nextest=(cargo nextest run --offline "${reporting[@]}")
    nextest_leaks
    nextest_retries
    nextest_terminates
    nextest_partitions
}

# Names of the tests that nextest has reported so.
reported() { sed -nE "s/^ *$1 .* tools-fixture::bodies (.*)\$/\1/p" "$log" | sort; }

nextest_leaks() {
    passes "${nextest[@]}" -E 'test(/^good::/) | test(nextest::leaves_a_daemon)'
    says '[0-9] passed, '
    says_not 'LEAK'
    # An ordinary test is seen to leak by the same settings.
    fails "${nextest[@]}" -E 'test(nextest::leaves_a_process)'
    says 'LEAK'
}

nextest_retries() {
    mkdir "$scratch/flaky" "$scratch/no-retry"
    passes env "FLAKY_DIRECTORY=$scratch/flaky" "${nextest[@]}" --retries 2 -E 'test(nextest::flaky)'
    says 'TRY 1 FAIL .* nextest::flaky'
    says 'TRY 2 PASS .* nextest::flaky'
    says '1 passed \(1 flaky\)'
    fails env "FLAKY_DIRECTORY=$scratch/no-retry" "${nextest[@]}" -E 'test(nextest::flaky)'
    says 'planted flake'
}

nextest_terminates() {
    # Distinguishes the process of this run from others.
    local seconds=$((100000 + $$)) deadline=$((SECONDS + 10))
    fails env "HANGS_FOR=$seconds" "${nextest[@]}" --profile terminate -E 'test(nextest::hangs)'
    says 'TIMEOUT .* nextest::hangs'
    # The kernel is still at it when nextest has gone.
    while pgrep -fx "sleep $seconds" >/dev/null || pgrep -f "^$CARGO_TARGET_DIR/.* nextest::hangs" >/dev/null; do
        [ "$SECONDS" -lt "$deadline" ] || wrong "processes are left of a test that was terminated"
        sleep 0.1
    done
}

nextest_partitions() {
    local part filter='test(/^good::/) | test(plain) - test(/^nextest::/)'
    passes "${nextest[@]}" -E "$filter"
    reported PASS >"$scratch/whole"
    # From an archive, as for machines that do not compile.
    passes cargo nextest archive --offline --archive-file "$scratch/tests.tar.zst"
    for part in 1 2; do
        passes cargo nextest run --archive-file "$scratch/tests.tar.zst" --workspace-remap . \
            "${reporting[@]}" -E "$filter" --partition "hash:$part/2"
        reported PASS >"$scratch/part-$part"
        [ -s "$scratch/part-$part" ] || wrong "part $part of 2 has no tests"
    done
    sort "$scratch/part-1" "$scratch/part-2" | diff "$scratch/whole" - >&2 ||
        wrong "the parts together are not the whole, each test once"
    [ "$(wc -l <"$scratch/whole")" -ge 6 ] || wrong "too few tests"
}

tool_doctests() {
    passes cargo test --offline --doc
    says '^test src/lib\.rs - \(line 6\) \.\.\. ok$'
    says '^test src/lib\.rs - \(line 13\) - compile fail \.\.\. ok$'
    says '^test src/lib\.rs - \(line 20\) - compile fail \.\.\. ok$'
    says '^test src/lib\.rs - only_in_a_body \(line [0-9]+\) \.\.\. ok$'
}

tool_backtrace() {
    build_plainly
    local run=("$bodies" --exact bad::panics)
    fails env RUST_BACKTRACE=1 "${run[@]}"
    [ "$(grep -c '^stack backtrace:$' "$log")" = 1 ] || wrong "not one backtrace"
    says ' tools_fixture::inner_frame$'
    says ' tools_fixture::outer_frame$'
    says ' bodies::bad::panics::panics$'
    says_not 'netns_test::harness'
    fails env RUST_BACKTRACE=full "${run[@]}"
    says ' tools_fixture::inner_frame'
    says 'netns_test::harness'
    fails env RUST_BACKTRACE=0 "${run[@]}"
    says_not '^stack backtrace:$'
    says '^planted panic$'
}

tool_runner() {
    local variable=CARGO_TARGET_${host^^}_RUNNER
    variable=${variable//[-.]/_}
    cat >"$scratch/runner" <<'RUNNER'
#!/bin/sh
echo "runner: $*" >&2
exec "$@"
RUNNER
    chmod 755 "$scratch/runner"
    build_plainly
    fails env "$variable=$scratch/runner" cargo test --offline --test bodies -- good:: bad::
    says '^runner: .*/bodies-[0-9a-f]+ good:: bad::$'
    all_good
    verdict FAILED bad::panics bad::returns_an_error bad::exits

    [ "$(id -u)" = 0 ] || {
        say "runner: run by an ordinary user, so not tried: a runner that makes root one"
        return
    }
    need setpriv util-linux
    make_home
    cat >"$scratch/as-user" <<RUNNER
#!/bin/sh
program=\$1
shift
cp "\$program" $scratch/program
chmod 755 $scratch/program
cd $scratch/home
exec ${as_user[*]} $scratch/program "\$@"
RUNNER
    chmod 755 "$scratch/as-user"
    passes env "$variable=$scratch/as-user" cargo test --offline --test bodies -- --show-output good::
    all_good
    says '^said by a body of user 65534$'
    fails env "$variable=$scratch/as-user" cargo test --offline --test bodies -- bad::
    verdict FAILED bad::panics bad::returns_an_error bad::exits
}

# Miri itself, or at least what the attribute makes of its `cfg`.
tool_miri() {
    local selected=(plain good:: should_panic:: bad::)
    if cargo +nightly miri --version >/dev/null 2>&1; then
        # Compiles a standard library, with dependencies of its own.
        passes cargo +nightly miri setup
        passes cargo +nightly miri test --test bodies -- "${selected[@]}"
        ignored_under_miri
        return
    fi
    passes env RUSTFLAGS="--cfg miri" cargo test --offline --target "$host" --test bodies -- "${selected[@]}"
    ignored_under_miri
    leave_out "it is not installed; only its cfg(miri) was tried"
}

ignored_under_miri() {
    verdict ok plain should_panic::in_the_runner
    verdict 'ignored, Miri cannot fork' good::port_80 good::port_80_too should_panic::in_a_body bad::panics
    says '^test result: ok\. 2 passed; 0 failed;'
}
