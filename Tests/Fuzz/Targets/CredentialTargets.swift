import Cryptography
import Domain

@testable import ControlPlane

extension FuzzTarget {
  private static let cursors = CursorSealer(key: [UInt8](repeating: 7, count: 32))

  static let credentials = [
    // The first line is a cursor that somebody made up, the second the end of a page.
    FuzzTarget("cursor") { bytes in
      let (first, second) = bytes.halves
      if let text = first.text {
        promise((try? cursors.open(text, scope: "a")) == nil, "somebody guessed a cursor")
      }
      guard second.count <= 512 else { return }
      let sealed = cursors.seal(second, scope: "a")
      promise((try? cursors.open(sealed, scope: "a")) == second, "a cursor opens")
      promise((try? cursors.open(sealed, scope: "b")) == nil, "and nowhere else")
    },
    FuzzTarget("token") { bytes in
      guard let text = bytes.text else { return }
      let kinds = TokenFormat.all.filter { $0.matches(text) }
      promise(kinds.count <= 1, "a token is of one kind")
      let isPart = TokenFormat.isPart(ofPath: Substring("/v1/\(text)").utf8)
      promise(kinds.isEmpty || isPart, "a token in a path is seen")
      _ = BearerToken.isWellFormed(text)
    },
    FuzzTarget("base62") { bytes in
      let body = bytes.prefix(64).map { Base62Checksum.alphabet[Int($0) % 62] }
      let whole = body + Base62Checksum.digits(of: body)
      promise(Base62Checksum.ends(whole, of: body.count), "a checksum is right")
      _ = Base62Checksum.ends(bytes, of: 30)
    },
    FuzzTarget("base64") { bytes in
      promise(Base64.decode(Base64.encode(bytes)) == bytes, "base64 is read as it was written")
      promise(Base64URL.decode(Base64URL.encode(bytes)) == bytes, "base64url, too")
      guard let text = bytes.text else { return }
      _ = Base64.decode(text)
      if let decoded = Base64URL.decode(text) {
        promise(Base64URL.encode(decoded) == text, "base64url has one form")
      }
    },
  ]
}
