// 30. Options that a module cannot set for its tests, or sets twice.
mod for_one_test {
    netns_test::defaults! { flavor = "multi_thread" }
}

mod empty {
    netns_test::defaults! {}
}

mod wrong_value {
    netns_test::defaults! { timeout = 5 }
}

mod twice {
    netns_test::defaults! { timeout = "5s" }
    netns_test::defaults! { network = "lan" }
}
