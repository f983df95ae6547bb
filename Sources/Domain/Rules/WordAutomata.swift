/// Finds the first place of each of several words in one pass over a text, without ever going back in it (Aho and Corasick:
/// Efficient string matching, 1975). Many automata share the memory; each is known by its root.
struct WordAutomata: Sendable {
  private var trie = ByteTrie()
  /// Of each state, the longest other one whose bytes are the end of its own.
  private var fallback: [Int32] = []
  /// Of each state, the longest word that its bytes end with, itself included; -1 when there is none.
  private var longestWord: [Int32] = []
  var byteCount: Int {
    trie.byteCount + (fallback.count + longestWord.count)
      * MemoryLayout<Int32>.stride
  }

  /// How many states there are; every word is one of them.
  var count: Int { trie.count }

  mutating func addRoot() -> Int32 { trie.addRoot() }

  /// Adds a word to an automaton, unless it is one of its words already.
  ///
  /// - Parameter meaning: what the word means to its owner, who asks with ``meaning(of:)``; not negative.
  /// - Returns: what it means, which is not this when it was there before.
  mutating func add(_ word: [UInt8], from root: Int32, meaning: Int32) -> Int32 {
    let state = trie.node(at: word, from: root)
    if trie[state].link < 0 { trie[state].link = meaning }
    return trie[state].link
  }

  /// To be called when all words have been added, once for each automaton.
  mutating func complete(from root: Int32) {
    let missing = trie.count - fallback.count
    fallback += repeatElement(root, count: missing)
    longestWord += repeatElement(-1, count: missing)
    // Shorter ones first: a state falls back to a shorter one.
    var queue = [root]
    var next = 0
    while next < queue.count {
      let state = queue[next]
      next += 1
      for child in trie.children(of: state) {
        if state != root {
          fallback[Int(child)] = step(from: fallback[Int(state)], trie[child].byte, root)
        } else {
          fallback[Int(child)] = root
        }
        longestWord[Int(child)] =
          trie[child].link >= 0 ? child : longestWord[Int(fallback[Int(child)])]
        queue.append(child)
      }
    }
  }

  private func step(from state: Int32, _ byte: UInt8, _ root: Int32) -> Int32 {
    var state = state
    while true {
      if let next = trie.child(of: state, byte) { return next }
      if state == root { return root }
      state = fallback[Int(state)]
    }
  }

  /// Goes on by one byte. Over a whole text this takes at most two comparisons for each byte: every fall back takes away at
  /// least one byte that was matched before.
  func step(
    from state: Int32, _ byte: UInt8, root: Int32, _ trace: inout some DecisionTrace
  ) -> Int32 {
    var state = state
    while true {
      trace.compared()
      if let next = trie.child(of: state, byte) { return next }
      if state == root { return root }
      state = fallback[Int(state)]
    }
  }

  /// The longest word that ends where the text has led to this state; nil when none does.
  func longestWord(at state: Int32) -> Int32? {
    let word = longestWord[Int(state)]
    return word < 0 ? nil : word
  }

  /// The next shorter word that ends in the same place.
  func nextWord(after word: Int32) -> Int32? { longestWord(at: fallback[Int(word)]) }

  func meaning(of word: Int32) -> Int32 { trie[word].link }
}
