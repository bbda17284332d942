//! A small OTLP collector for the demo and the tests.
