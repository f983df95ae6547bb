/// Tries over bytes that share their memory. Nodes have indices; a trie is known by its root.
///
/// A node's children are a list, of at most 67: a pattern has no other bytes than small letters, digits and punctuation.
struct ByteTrie: Sendable {
  private struct Node: Sendable {
    let byte: UInt8
    /// 0 when there is none: the node with index 0 is a root, and no node's child.
    var firstChild: Int32 = 0
    var nextSibling: Int32 = 0
  }

  private var nodes: [Node] = []

  var count: Int { nodes.count }

  var byteCount: Int { nodes.count * MemoryLayout<Node>.stride }

  /// Begins another trie.
  mutating func addRoot() -> Int32 { add(Node(byte: 0)) }

  private mutating func add(_ node: Node) -> Int32 {
    nodes.append(node)
    return Int32(nodes.count - 1)
  }

  /// The node to which these bytes lead, made on the way when it is not there.
  mutating func node(at bytes: some Sequence<UInt8>, from root: Int32) -> Int32 {
    var node = root
    for byte in bytes {
      if let child = child(of: node, byte) {
        node = child
      } else {
        let child = add(Node(byte: byte, nextSibling: nodes[Int(node)].firstChild))
        nodes[Int(node)].firstChild = child
        node = child
      }
    }
    return node
  }

  func child(of node: Int32, _ byte: UInt8) -> Int32? {
    var child = nodes[Int(node)].firstChild
    while child != 0, nodes[Int(child)].byte != byte { child = nodes[Int(child)].nextSibling }
    return child == 0 ? nil : child
  }

  func byte(of node: Int32) -> UInt8 { nodes[Int(node)].byte }

  func children(of node: Int32) -> some Sequence<Int32> {
    let first = nodes[Int(node)].firstChild
    return sequence(first: first) { nodes[Int($0)].nextSibling }.prefix { $0 != 0 }
  }
}
