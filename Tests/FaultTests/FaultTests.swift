import Testing

/// Faults are injected into a real server under load, one run after the other: each run needs the
/// machine for itself to keep its deadlines.
@Suite(.serialized) struct FaultTests {}
