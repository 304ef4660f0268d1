//! Clients of QUIC and HTTP/2 over each named condition: what arrives is what was sent.

mod http2;
mod quic;
mod site;

/// Declares the two tests of each named condition.
macro_rules! conditions {
    ($($name:ident)*) => {
        /// Conditions that have tests.
        const CONDITIONS: &[&str] = &[$(stringify!($name)),*];

        mod quic_over {
            $(
                #[netns_test::netns_test]
                async fn $name() {
                    crate::quic::over(netns_test::lab::Impairment::$name()).await;
                }
            )*
        }

        mod http2_over {
            $(
                #[netns_test::netns_test]
                async fn $name() {
                    crate::http2::over(netns_test::lab::Impairment::$name()).await;
                }
            )*
        }
    };
}

conditions! {
    lan wifi wifi_bad edge mobile_3g lte mobile_5g dial_up dsl cable fibre leo_satellite geo_satellite
    lossy_datacentre
}

#[test]
fn each_named_condition_has_its_tests() {
    let source = include_str!("../../../../netns-test/src/lab/topology/impairment/conditions.rs");
    let name =
        |line: &'static str| line.trim().strip_prefix("pub fn ")?.strip_suffix("() -> Self {");
    assert_eq!(source.lines().filter_map(name).collect::<Vec<_>>(), CONDITIONS);
}
