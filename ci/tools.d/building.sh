# shellcheck shell=bash disable=SC2154 # ci/tools sets what is not set here
# How tests are compiled and linked: profiles, static executables, linkers.

tool_release() {
    build cargo test --offline --release --test bodies --no-run
    typical
}

# What the linker may merge, drop or reorder.
tool_lto() {
    build env CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_OPT_LEVEL=s \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_STRIP=symbols \
        cargo test --offline --release --test bodies --no-run
    typical
    build env CARGO_PROFILE_RELEASE_LTO=thin CARGO_PROFILE_RELEASE_OPT_LEVEL=3 \
        cargo test --offline --release --test bodies --no-run
    typical
}

# `cargo test` unwinds in spite of `panic = "abort"`, except with a flag of the nightly one.
tool_abort() {
    build env CARGO_PROFILE_DEV_PANIC=abort CARGO_PROFILE_TEST_PANIC=abort \
        cargo test --offline --test bodies --no-run
    typical

    has_nightly || leave_out "no nightly toolchain for -Zpanic-abort-tests; panic = \"abort\" was tried"
    build env CARGO_PROFILE_DEV_PANIC=abort cargo +nightly test -Zpanic-abort-tests --offline \
        --target "$host" --test bodies --no-run
    fails "$bodies" plain good:: bad:: should_panic::
    verdict ok plain should_panic::in_the_runner
    all_good
    verdict FAILED bad::panics bad::returns_an_error bad::exits should_panic::in_a_body
    says "^thread 'bad::panics' .*panicked at"
    says '^planted panic$'
    says "^netns-test: the test's process was killed by SIGABRT"
}

# Options for the linking of the test binary alone; what it depends on is not compiled again.
link() { build cargo rustc --offline --profile test --test bodies "$json" -- "$@"; }

tool_static() {
    link -Ctarget-feature=+crt-static
    is_static
    typical
    link -Ctarget-feature=+crt-static -Crelocation-model=static
    is_static
    typical
}

is_static() {
    need readelf binutils
    ! readelf -l "$bodies" | grep -q INTERP || wrong "$bodies has an interpreter"
}

tool_musl() {
    local target=${host%%-*}-unknown-linux-musl
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] ||
        leave_out "no standard library for $target (rustup target add $target)"
    build cargo test --offline --target "$target" --test bodies --no-run
    is_static
    typical
}

tool_linkers() {
    local name others=()
    need readelf binutils
    need mold mold
    need ld.lld lld
    link
    # Since 1.90 rustc links by itself with the lld that it brings, on some targets.
    if linked_by LLD; then
        typical
        others=(-Clinker-features=-lld)
    fi
    link "${others[@]}" -Clink-arg=-fuse-ld=lld
    linked_by LLD || wrong "$bodies was not linked by lld"
    typical
    link "${others[@]}" -Clink-arg=-fuse-ld=bfd
    ! linked_by 'LLD|mold' || wrong "$bodies was not linked by GNU ld"
    typical
    # Folds identical code: the harness must still distinguish its own constructor from others.
    for name in '' -Clink-arg=-Wl,--icf=all; do
        link -Clink-arg=-fuse-ld=mold ${name:+"$name"}
        linked_by mold || wrong "$bodies was not linked by mold"
        typical
    done
    link -Clink-arg=-fuse-ld=lld -Clink-arg=-Wl,--icf=all
    typical
}

linked_by() { readelf -p .comment "$bodies" | grep -qE "$1"; }
