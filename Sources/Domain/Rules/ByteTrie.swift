/// Tries over bytes that share their memory. Nodes have indices; a trie is known by its root.
///
/// A node's children are a list, of at most 67: a pattern has no other bytes than small letters, digits and punctuation.
struct ByteTrie: Sendable {
  struct Node: Sendable {
    let byte: UInt8
    /// 0 when there is none: the node with index 0 is a root, and no node's child.
    fileprivate(set) var firstChild: Int32 = 0
    fileprivate(set) var nextSibling: Int32 = 0
    /// What is held at the node, as places in an array of the trie's owner: from `first` up to `end`.
    var first: Int32 = 0
    var end: Int32 = 0
    /// Where the node leads besides; -1 when it does not.
    var link: Int32 = -1
  }

  private var nodes: [Node] = []

  var count: Int { nodes.count }

  var byteCount: Int { nodes.count * MemoryLayout<Node>.stride }

  subscript(node: Int32) -> Node {
    get { nodes[Int(node)] }
    set { nodes[Int(node)] = newValue }
  }

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
    let child = child(nodes[Int(node)], byte)
    return child == 0 ? nil : child
  }

  /// 0 when there is none.
  func child(_ node: Node, _ byte: UInt8) -> Int32 {
    var child = node.firstChild
    while child != 0 {
      let node = nodes[Int(child)]
      if node.byte == byte { return child }
      child = node.nextSibling
    }
    return 0
  }

  func children(of node: Int32) -> [Int32] {
    var (children, child): ([Int32], Int32) = ([], nodes[Int(node)].firstChild)
    while child != 0 {
      children.append(child)
      child = nodes[Int(child)].nextSibling
    }
    return children
  }
}
