import ConfigurationFeed
import Domain
import JSON

extension FuzzTarget {
  static let documents = [
    // What is written of a value that was read is read as the same value.
    FuzzTarget("json") { bytes in
      guard let value = try? JSONValue.parse(bytes) else { return }
      let canonical = value.canonicalBytes()
      let again = try? JSONValue.parse(canonical)
      promise(again == value, "a value is read as it was written")
      promise(again?.canonicalBytes() == canonical, "there is one canonical form")
    },
    // RFC 7396: a difference, applied to the old document, makes the new one.
    FuzzTarget("merge-patch") { bytes in
      let (first, second) = bytes.halves
      guard let old = try? JSONObject(parsing: first), let new = try? JSONObject(parsing: second)
      else { return }
      let patched = MergePatch.apply(new, to: old)
      promise(
        MergePatch.apply(new, to: patched) == patched,
        "a patch that is applied twice changes no more")
      guard new.pointerToNull == nil else { return }
      let patch = MergePatch.difference(from: old, to: new)
      promise(MergePatch.apply(patch, to: old) == new, "the difference makes the new document")
    },
    // However the bytes are cut, the events are the same.
    FuzzTarget("event-stream") { bytes in
      let size = 1 << 16
      var whole = EventStreamParser(maximumSize: size)
      guard let events = try? whole.append(bytes) else { return }
      for step in [1, 3] {
        var parser = EventStreamParser(maximumSize: size)
        var found: [ServerSentEvent] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
          guard let some = try? parser.append(bytes[start..<min(start + step, bytes.count)]) else {
            return promise(false, "pieces are not larger than the whole")
          }
          found += some
        }
        promise(found == events, "pieces make the same events")
        promise(parser.lastEventID == whole.lastEventID, "and the same id")
      }
    },
    FuzzTarget("configuration") { bytes in
      let (first, second) = bytes.halves
      guard var document = try? ConfigurationDocument(parsing: first) else { return }
      try? document.apply(second, at: 1)
    },
    FuzzTarget("plans") { bytes in
      guard let catalog = try? StrictJSONDecoder().decode(PlanCatalog.self, from: bytes) else {
        return
      }
      _ = PlanCatalog(version: catalog.version, plans: catalog.plans)
    },
  ]
}
