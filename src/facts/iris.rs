//! The IRIS client over HTTP.
