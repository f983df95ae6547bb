import FuzzTargets
import Glibc

/// libFuzzer calls this with one input after another. Which target they go to is in SIGNALBOX_FUZZ_TARGET: one program
/// serves all of them.
private let target: FuzzTarget = {
  let name = getenv("SIGNALBOX_FUZZ_TARGET").map { String(cString: $0) } ?? ""
  guard let target = FuzzTarget.named(name) else {
    print("SIGNALBOX_FUZZ_TARGET must be one of:")
    for target in FuzzTarget.all { print(target.name) }
    exit(name.isEmpty ? 0 : 64)
  }
  return target
}()

/// One input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  target.body(Array(UnsafeBufferPointer(start: start, count: count)))
  return 0
}
