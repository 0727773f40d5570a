//! Each file in `cases` puts layers in a wrong order; the message that says so is pinned beside it.

#[test]
fn stacks_in_a_wrong_order_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("cases/right_order.rs");
    cases.compile_fail("cases/wrong_*.rs");
}
