//! What generated proxies are made of.
