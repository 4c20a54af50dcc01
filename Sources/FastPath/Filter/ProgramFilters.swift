// Fills in the code of a program's filters: what a person writes in a file, or in the API, is the expression alone.
// Before it: FilterCompiler.swift. After it: the program is validated and run.

public import MirrorProgram

extension MirrorProgram {
    /// Compiles every filter that has no code yet.
    ///
    /// - Throws: for the first filter that is wrong, behind the path of its tap as other errors of a program have it.
    public mutating func compileFilters() throws(ProgramError) {
        for index in taps.indices {
            guard let filter = taps[index].filter, filter.code.isEmpty else { continue }
            do throws(FilterError) {
                taps[index].filter!.code = try FilterCompiler.compile(filter.expression)
            } catch {
                throw ProgramError("taps[\(index)].filter: \(error)")
            }
        }
    }
}
