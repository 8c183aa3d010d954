// Judges the generated C# by what Python says of the contract. PACKAGES is how the names of the packages begin.
//
//     ContractCheck names PACKAGES NAMES.json       compares every property, JSON key, oneof and enum value by reflection
//     ContractCheck messages PACKAGES INPUT OUTPUT  decodes INPUT/<message>#<n>.binpb and .json, encodes each both ways
//     ContractCheck errors INPUT OUTPUT             decodes INPUT/<reason>.status.binpb and .failure.binpb to JSON
//
// Exit code 0 if all agrees, 1 with a line for each difference, 2 for a wrong call.
using ContractCheck;

return args switch
{
    ["names", var packages, var names] => Report(Names.Differences(new Contract(packages), names)),
    ["messages", var packages, var input, var output] =>
        Report(Messages.Reencode(new Contract(packages), input, output)),
    ["errors", var input, var output] => Report(Errors.Decode(input, output)),
    _ => 2,
};

static int Report(IEnumerable<string> differences)
{
    var found = differences.ToList();
    found.ForEach(Console.WriteLine);
    return found.Count == 0 ? 0 : 1;
}
