//! What the runner has to say of every test, sorted by name. A test that is missing, one too
//! many, and a lost `#[ignore]` or `#[should_panic]` are differences.

/// The runner's lines, without the `test` at their beginning.
pub(crate) fn lines() -> Vec<String> {
    let lines = |text: &'static str| text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines(LINES)
        .map(|line| if line.contains(" ... ") { line.to_owned() } else { format!("{line} ... ok") })
        .collect()
}

const LINES: &str = "
    at_the_root

    attributes::configured_in
    attributes::configured_in_above
    attributes::documented_above
    attributes::documented_below
    attributes::expects_a_lint
    attributes::expects_a_lint_above
    attributes::ignored ... ignored
    attributes::ignored_above ... ignored, above
    attributes::ignored_if ... ignored, conditional
    attributes::inner_attribute
    attributes::only_by_cfg_attr
    attributes::should_not_panic
    attributes::should_panic - should panic
    attributes::should_panic_as_expected - should panic
    attributes::should_panic_if - should panic
    attributes::should_panic_if_above - should panic
    attributes::should_panic_in_async - should panic
    attributes::should_panic_with_a_text - should panic

    bodies::async_impl_termination
    bodies::async_result
    bodies::asynchronous
    bodies::current_thread
    bodies::early_return
    bodies::early_return_of_nothing
    bodies::exit_code
    bodies::impl_termination
    bodies::multi_thread
    bodies::paused_clock
    bodies::question_mark_fails ... ignored, fails; run by compose.rs
    bodies::question_mark_fails_in_async ... ignored, fails; run by compose.rs
    bodies::result
    bodies::result_with_exit_code
    bodies::running_clock
    bodies::runtime_has_a_network
    bodies::sync
    bodies::unit
    bodies::worker_threads

    options::all_at_once
    options::attribute_by_the_other_name
    options::attribute_by_the_same_path
    options::caller
    options::crate_path
    options::crate_path_in_quotes
    options::longest_timeout
    options::no_timeout
    options::other_name
    options::other_name_from_the_root
    options::root
    options::timeout_in_hours
    options::timeout_in_milliseconds
    options::timeout_in_minutes
    options::timeout_in_seconds

    places::body_from_outside
    places::called_by_another_test
    places::calls_a_test_that_fails - should panic
    places::calls_a_test_that_panics - should panic
    places::calls_another_test
    places::from_a_macro
    places::from_a_macro_again
    places::nested::deeper::in_a_module
    places::nested::in_a_module
    places::options_from_outside
    places::panics_as_it_should - should panic
    places::r#async
    places::r#mod::r#fn
    places::r#try
    places::recurses
    places::return_type_from_outside
    places::returns_an_error ... ignored, fails; run by compose.rs
    places::shadows::block_on
    places::shadows::report
    places::shadows::run

    with_others::above
    with_others::attributes_of_the_language
    with_others::a_body_on_a_thread_of_its_own_can_have_a_lab
    with_others::below
    with_others::below_by_cfg_attr
    with_others::below_on_an_async_fn
    with_others::below_should_panic - should panic
    with_others::below_with_our_runtime
    with_others::imported::by_the_name_of_the_builtin
    with_others::makes_a_sync_fn
    with_others::test_below
    with_others::test_below_ignored ... ignored, below
    with_others::test_below_should_panic - should panic
    with_others::with_an_added_function
    with_others::with_an_added_function_isolated

    with_rstest::above::asynchronous::case_1
    with_rstest::above::asynchronous::case_2
    with_rstest::above::cases::case_1
    with_rstest::above::cases::case_2_named
    with_rstest::above::cases_by_the_other_name::case_1
    with_rstest::above::cases_by_the_other_name::case_2_named
    with_rstest::above::fixture
    with_rstest::above::matrix::one_1_1::other_1___x__
    with_rstest::above::matrix::one_1_1::other_2___y__
    with_rstest::above::matrix::one_2_2::other_1___x__
    with_rstest::above::matrix::one_2_2::other_2___y__
    with_rstest::above::one_case_panics::case_1
    with_rstest::above::one_case_panics::case_2 - should panic
    with_rstest::above::ours_then_test::case_1
    with_rstest::above::ours_then_tokio_test::case_1
    with_rstest::above::ours_then_tokio_test::case_2
    with_rstest::above::result::case_1
    with_rstest::above::tokio_test_then_ours::case_1
    with_rstest::above::tokio_test_then_ours::case_2
    with_rstest::below::asynchronous::case_1
    with_rstest::below::asynchronous::case_2
    with_rstest::below::asynchronous_with_options::case_1
    with_rstest::below::cases::case_1
    with_rstest::below::cases::case_2_named
    with_rstest::below::fixture
    with_rstest::below::matrix::one_1_1::other_1___x__
    with_rstest::below::matrix::one_1_1::other_2___y__
    with_rstest::below::matrix::one_2_2::other_1___x__
    with_rstest::below::matrix::one_2_2::other_2___y__
    with_rstest::below::one_case_panics::case_1
    with_rstest::below::one_case_panics::case_2 - should panic
    with_rstest::below::with_test::case_1
    with_rstest::below::with_tokio_test::case_1
    with_rstest::below::with_tokio_test::case_2

    with_test::below
    with_test::by_its_path
    with_test::on_an_async_fn
    with_test::with_attributes_around ... ignored, between
    with_test::with_our_other_name

    with_test_case::above::asynchronous::test_case_1_1_expects
    with_test_case::above::asynchronous::test_case_2_2_expects
    with_test_case::above::asynchronous_values::test_case_1_1_expects_2
    with_test_case::above::asynchronous_values::test_case_2_0_expects_panicking_some_zero_ - should panic
    with_test_case::above::cases::test_case_1_1_2_expects
    with_test_case::above::cases::test_case_2_named
    with_test_case::above::matrix::test_case_1_1_x_expects
    with_test_case::above::matrix::test_case_2_1_y_expects
    with_test_case::above::matrix::test_case_3_2_x_expects
    with_test_case::above::matrix::test_case_4_2_y_expects
    with_test_case::above::ours_then_tokio_test::test_case_1_1_expects
    with_test_case::above::ours_then_tokio_test::test_case_2_2_expects
    with_test_case::above::result::test_case_1_80_expects
    with_test_case::above::tokio_test_then_ours::test_case_1_1_expects
    with_test_case::above::tokio_test_then_ours::test_case_2_2_expects
    with_test_case::above::values::test_case_1_1_expects_2
    with_test_case::above::values::test_case_2_2_expects_matching_3_4_
    with_test_case::above::values::test_case_3_0_expects_panicking_some_zero_ - should panic
    with_test_case::above::values::test_case_4_7_expects_inconclusive8 ... ignored, slow
    with_test_case::below::asynchronous::test_case_1_1_expects
    with_test_case::below::asynchronous::test_case_2_2_expects
    with_test_case::below::asynchronous_values::test_case_1_1_expects_2
    with_test_case::below::asynchronous_values::test_case_2_0_expects_panicking_some_zero_ - should panic
    with_test_case::below::cases::test_case_1_1_2_expects
    with_test_case::below::cases::test_case_2_named
    with_test_case::below::matrix::test_case_1_1_x_expects
    with_test_case::below::matrix::test_case_2_1_y_expects
    with_test_case::below::matrix::test_case_3_2_x_expects
    with_test_case::below::matrix::test_case_4_2_y_expects
    with_test_case::below::values::test_case_1_1_expects_2
    with_test_case::below::values::test_case_2_2_expects_matching_3_4_
    with_test_case::below::values::test_case_3_0_expects_panicking_some_zero_ - should panic
    with_test_case::below::values::test_case_4_7_expects_inconclusive8 ... ignored, slow
    with_test_case::below::with_tokio_test::test_case_1_1_expects
    with_test_case::below::with_tokio_test::test_case_2_2_expects
    with_test_case::ours_between::test_case_1_1_expects
    with_test_case::ours_between::test_case_2_2_expects

    with_tokio_test::above
    with_tokio_test::above_by_another_name
    with_tokio_test::above_ignored ... ignored, above
    with_tokio_test::above_should_panic - should panic
    with_tokio_test::above_with_options
    with_tokio_test::above_with_paused_clock
    with_tokio_test::below
    with_tokio_test::below_by_another_name
    with_tokio_test::below_ignored ... ignored, below
    with_tokio_test::below_should_panic - should panic
    with_tokio_test::below_with_options
    with_tokio_test::below_with_options_of_its_own
    with_tokio_test::below_with_paused_clock
";
