package import Domain
import Glibc

extension Timestamp {
  /// The system's clock. Deciders never ask it: time comes to them with the command.
  package static var now: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(clampingSeconds: Int64(time.tv_sec))
      .advanced(by: Int64(time.tv_nsec) / 1000)
  }
}
