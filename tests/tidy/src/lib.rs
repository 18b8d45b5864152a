//! Rules of this repository that compilers and linters do not know. They are all tests, in
//! `tests/suite`; each says what it found, where, and what is asked for.
